"""Portuguese for the second corruption set: a sentence, its English, the English with one mistake.

Written by hand before the dictionary and the checks of Portuguese were; hospital Portuguese of
Brazil, and of Portugal where it spells or words things in its own way.
"""

from __future__ import annotations

from second_set_world import Phrase, phrase

PHRASES: tuple[Phrase, ...] = (
    phrase(
        "Derrame pleural à direita.",
        "Right pleural effusion.",
        side="Left pleural effusion.",
        comparison="Unchanged right pleural effusion.",
    ),
    phrase(
        "Pequeno derrame pleural esquerdo.",
        "Small left pleural effusion.",
        side="Small right pleural effusion.",
        denial="No left pleural effusion.",
    ),
    phrase(
        "Não há sinais de derrame pleural ou pneumotórax.",
        "There are no signs of pleural effusion or pneumothorax.",
        denial="There are signs of pleural effusion and pneumothorax.",
    ),
    phrase(
        "Não se observam consolidações.",
        "No consolidations are seen.",
        denial="Consolidations are seen.",
    ),
    phrase(
        "Ausência de lesões ósseas agudas.",
        "Absence of acute bone lesions.",
        denial="Acute bone lesions.",
    ),
    phrase(
        "Seios costofrênicos livres.",
        "The costophrenic angles are clear.",
        denial="The costophrenic angles are not clear, with effusion.",
    ),
    phrase(
        "Área cardíaca aumentada.",
        "The cardiac silhouette is enlarged.",
        denial="The cardiac silhouette is not enlarged.",
        comparison="The cardiac silhouette is enlarged, unchanged from the prior study.",
    ),
    phrase(
        "Área cardíaca dentro dos limites da normalidade.",
        "The cardiac silhouette is within normal limits.",
    ),
    phrase(
        "Cardiomegalia moderada com sinais de congestão pulmonar.",
        "Moderate cardiomegaly with signs of pulmonary congestion.",
        comparison="Worsening moderate cardiomegaly with signs of pulmonary congestion.",
    ),
    phrase(
        "Nódulo pulmonar de 8 mm no lobo superior direito.",
        "An 8 mm pulmonary nodule in the right upper lobe.",
        side="An 8 mm pulmonary nodule in the left upper lobe.",
        number="An 18 mm pulmonary nodule in the right upper lobe.",
        comparison="A new 8 mm pulmonary nodule in the right upper lobe.",
    ),
    phrase(
        "Massa de 4,5 cm no lobo inferior esquerdo.",
        "A 4.5 cm mass in the left lower lobe.",
        side="A 4.5 cm mass in the right lower lobe.",
        number="A 5.4 cm mass in the left lower lobe.",
    ),
    phrase(
        "Tubo orotraqueal a 3,2 cm da carina.",
        "Endotracheal tube 3.2 cm above the carina.",
        number="Endotracheal tube 2.3 cm above the carina.",
    ),
    phrase(
        "Cateter venoso central por via jugular direita com extremidade na veia cava superior.",
        "Right jugular central venous catheter with its tip in the superior vena cava.",
        side="Left jugular central venous catheter with its tip in the superior vena cava.",
    ),
    phrase(
        "Sonda nasoenteral com extremidade no estômago.",
        "Nasoenteric tube with its tip in the stomach.",
        number="Nasoenteric tube with its tip 3 cm below the diaphragm.",
    ),
    phrase(
        "Marca-passo com eletrodos no átrio e no ventrículo direitos.",
        "Pacemaker with leads in the right atrium and ventricle.",
        side="Pacemaker with leads in the left atrium and ventricle.",
    ),
    phrase(
        "Dreno torácico no hemitórax esquerdo.",
        "Chest tube in the left hemithorax.",
        side="Chest tube in the right hemithorax.",
    ),
    phrase(
        "Consolidação no lobo inferior direito, sugestiva de processo pneumônico.",
        "Consolidation in the right lower lobe, suggestive of a pneumonic process.",
        side="Consolidation in the left lower lobe, suggestive of a pneumonic process.",
        denial="No consolidation in the right lower lobe to suggest a pneumonic process.",
    ),
    phrase(
        "Opacidades em vidro fosco esparsas em ambos os pulmões.",
        "Scattered ground-glass opacities in both lungs.",
        side="Scattered ground-glass opacities in the right lung.",
    ),
    phrase(
        "Atelectasia laminar na base esquerda.",
        "Laminar atelectasis at the left base.",
        side="Laminar atelectasis at the right base.",
    ),
    phrase(
        "Elevação da hemicúpula diafragmática direita.",
        "Elevation of the right hemidiaphragm.",
        side="Elevation of the left hemidiaphragm.",
    ),
    phrase(
        "Espessamento pleural apical bilateral.",
        "Bilateral apical pleural thickening.",
        side="Left apical pleural thickening.",
    ),
    phrase(
        "Aorta alongada e calcificada.",
        "Elongated and calcified aorta.",
        comparison="Elongated and calcified aorta, stable.",
    ),
    phrase(
        "Botão aórtico calcificado.",
        "Calcified aortic knob.",
        comparison="Calcified aortic knob, as before.",
    ),
    phrase(
        "Fratura do 5º arco costal direito.",
        "Fracture of the 5th right rib.",
        side="Fracture of the 5th left rib.",
        number="Fracture of the 6th right rib.",
    ),
    phrase(
        "Fraturas antigas do 3º e do 4º arcos costais esquerdos.",
        "Old fractures of the 3rd and 4th left ribs.",
        side="Old fractures of the 3rd and 4th right ribs.",
        number="Old fractures of the 3rd and 5th left ribs.",
    ),
    phrase(
        "Sem evidência de pneumotórax.",
        "No evidence of pneumothorax.",
        denial="Evidence of pneumothorax.",
    ),
    phrase(
        "Pneumotórax apical à esquerda, com 2,0 cm de espessura.",
        "Left apical pneumothorax, 2.0 cm thick.",
        side="Right apical pneumothorax, 2.0 cm thick.",
        number="Left apical pneumothorax, 3.0 cm thick.",
    ),
    phrase(
        "Trama broncovascular acentuada nas bases.",
        "Accentuated bronchovascular markings at the bases.",
        comparison="Increasingly accentuated bronchovascular markings at the bases, now worse.",
    ),
    phrase(
        "Infiltrado intersticial bilateral, com predomínio basal.",
        "Bilateral interstitial infiltrate, predominantly basal.",
        side="Right interstitial infiltrate, predominantly basal.",
    ),
    phrase(
        "Hilos pulmonares de aspecto normal.",
        "Pulmonary hila of normal appearance.",
    ),
    phrase(
        "Mediastino sem alargamento.",
        "Mediastinum without widening.",
        denial="Mediastinum with widening.",
    ),
    phrase(
        "Traqueia desviada para a direita.",
        "Trachea deviated to the right.",
        side="Trachea deviated to the left.",
    ),
    phrase(
        "Hérnia de hiato.",
        "Hiatal hernia.",
        comparison="Known hiatal hernia, unchanged.",
    ),
    phrase(
        "Escoliose torácica de convexidade esquerda.",
        "Left convex thoracic scoliosis.",
        side="Right convex thoracic scoliosis.",
    ),
    phrase(
        "Alterações degenerativas na coluna torácica.",
        "Degenerative changes in the thoracic spine.",
        comparison="Progressive degenerative changes in the thoracic spine.",
    ),
    phrase(
        "Granuloma calcificado de 5 mm no terço médio do pulmão esquerdo.",
        "A 5 mm calcified granuloma in the middle third of the left lung.",
        side="A 5 mm calcified granuloma in the middle third of the right lung.",
        number="A 15 mm calcified granuloma in the middle third of the left lung.",
    ),
    phrase(
        "Pulmões hiperinsuflados com retificação das cúpulas diafragmáticas.",
        "Hyperinflated lungs with flattening of the diaphragmatic domes.",
        comparison="Hyperinflated lungs with new flattening of the diaphragmatic domes.",
    ),
    phrase(
        "Não se identificam nódulos pulmonares suspeitos.",
        "No suspicious pulmonary nodules are identified.",
        denial="Suspicious pulmonary nodules are identified.",
    ),
    phrase(
        "Estruturas ósseas íntegras.",
        "The bony structures are intact.",
        denial="The bony structures are not intact.",
    ),
    phrase(
        "Partes moles sem alterações.",
        "Soft tissues without abnormalities.",
        denial="Soft tissues with abnormalities.",
    ),
    phrase(
        "Não se pode descartar pequeno derrame pleural à direita.",
        "A small right pleural effusion cannot be excluded.",
        side="A small left pleural effusion cannot be excluded.",
        denial="There is a small right pleural effusion.",
    ),
    phrase(
        "Possível pneumonia na língula.",
        "Possible pneumonia in the lingula.",
        denial="No pneumonia in the lingula.",
        comparison="Possible new pneumonia in the lingula.",
    ),
    phrase(
        "Redução do derrame pleural esquerdo em relação ao exame anterior.",
        "Decrease of the left pleural effusion compared with the previous study.",
        side="Decrease of the right pleural effusion compared with the previous study.",
    ),
    phrase(
        "Sem alterações significativas em relação ao exame de 12/03/2019.",
        "No significant changes compared with the study of 12/03/2019.",
        number="No significant changes compared with the study of 12/03/2018.",
        denial="Significant changes compared with the study of 12/03/2019.",
    ),
    phrase(
        "Obliteração do seio costofrênico esquerdo.",
        "Obliteration of the left costophrenic angle.",
        side="Obliteration of the right costophrenic angle.",
    ),
    phrase(
        "Bolhas enfisematosas nos lobos superiores.",
        "Emphysematous bullae in the upper lobes.",
        side="Emphysematous bullae in the right upper lobe.",
    ),
    phrase(
        "Bronquiectasias nos lobos inferiores, mais evidentes à esquerda.",
        "Bronchiectasis in the lower lobes, more evident on the left.",
        side="Bronchiectasis in the lower lobes, more evident on the right.",
    ),
    phrase(
        "Edema pulmonar intersticial.",
        "Interstitial pulmonary edema.",
        denial="No interstitial pulmonary edema.",
        comparison="Resolving interstitial pulmonary edema.",
    ),
    phrase(
        "Fios metálicos de esternotomia.",
        "Metallic sternotomy wires.",
        comparison="Metallic sternotomy wires, again noted.",
    ),
    phrase(
        "Clipes cirúrgicos na axila direita.",
        "Surgical clips in the right axilla.",
        side="Surgical clips in the left axilla.",
    ),
    phrase(
        "Mastectomia esquerda.",
        "Left mastectomy.",
        side="Right mastectomy.",
    ),
    phrase(
        "Adenomegalias hilares bilaterais.",
        "Bilateral hilar lymphadenopathy.",
        side="Left hilar lymphadenopathy.",
    ),
    phrase(
        "Cavitação de 2,5 cm no ápice direito.",
        "A 2.5 cm cavitation at the right apex.",
        side="A 2.5 cm cavitation at the left apex.",
        number="A 25 cm cavitation at the right apex.",
    ),
    phrase(
        "Índice cardiotorácico normal.",
        "Normal cardiothoracic ratio.",
    ),
    phrase(
        "Campos pulmonares livres.",
        "Clear lung fields.",
        denial="Lung fields not clear.",
    ),
    phrase(
        "Discreta cardiomegalia.",
        "Slight cardiomegaly.",
        denial="No cardiomegaly.",
        comparison="Slight cardiomegaly, stable.",
    ),
    phrase(
        "Derrame pleural loculado à direita.",
        "Loculated right pleural effusion.",
        side="Loculated left pleural effusion.",
    ),
    phrase(
        "Opacidade mal definida no lobo médio.",
        "Ill-defined opacity in the middle lobe.",
        comparison="Persistent ill-defined opacity in the middle lobe.",
    ),
    phrase(
        "Calcificações pleurais à esquerda.",
        "Pleural calcifications on the left.",
        side="Pleural calcifications on the right.",
    ),
    phrase(
        "Enfisema subcutâneo na parede torácica direita.",
        "Subcutaneous emphysema in the right chest wall.",
        side="Subcutaneous emphysema in the left chest wall.",
    ),
    phrase(
        "Hipotransparência no terço inferior do campo pulmonar direito.",
        "Opacity in the lower third of the right lung field.",
        side="Opacity in the lower third of the left lung field.",
    ),
    phrase(
        "Ângulos costofrénicos livres, sem derrame.",
        "Clear costophrenic angles, without effusion.",
        denial="Costophrenic angles with effusion.",
    ),
    phrase(
        "Não se evidenciam focos de condensação.",
        "No foci of consolidation are evident.",
        denial="Foci of consolidation are evident.",
    ),
    phrase(
        "Sem imagens sugestivas de lesão em fase activa.",
        "No images suggestive of an active lesion.",
        denial="Images suggestive of an active lesion.",
    ),
    phrase(
        "Reforço da trama broncovascular hilar bilateral.",
        "Bilateral accentuation of the hilar bronchovascular markings.",
        side="Left accentuation of the hilar bronchovascular markings.",
    ),
    phrase(
        "Persistem múltiplas opacidades nodulares bilaterais.",
        "Multiple bilateral nodular opacities persist.",
        denial="No bilateral nodular opacities persist.",
    ),
    phrase(
        "Osteopenia difusa.",
        "Diffuse osteopenia.",
        comparison="Diffuse osteopenia, progressing.",
    ),
    phrase(
        "Prótese valvar aórtica.",
        "Aortic valve prosthesis.",
        denial="No aortic valve prosthesis.",
    ),
    phrase(
        "Linhas B de Kerley nas bases.",
        "Kerley B lines at the bases.",
        denial="No Kerley B lines at the bases.",
    ),
    phrase(
        "Dois nódulos de 6 e 9 mm no pulmão direito.",
        "Two nodules of 6 and 9 mm in the right lung.",
        side="Two nodules of 6 and 9 mm in the left lung.",
        number="Two nodules of 6 and 7 mm in the right lung.",
    ),
    phrase(
        "Exame sem alterações.",
        "Examination without abnormalities.",
        denial="Examination with abnormalities.",
    ),
    phrase(
        "Cissura horizontal espessada à direita.",
        "Thickened horizontal fissure on the right.",
        side="Thickened horizontal fissure on the left.",
    ),
)

ADDED = (
    "Small left pneumothorax.",
    "Cardiomegaly is present.",
    "Multiple pulmonary nodules.",
    "No rib fractures.",
    "There is consolidation in the right lower lobe.",
    "Pulmonary edema.",
)
