"""Nouns of radiology Portuguese for the offline rules: findings and things, then places."""

from __future__ import annotations

NOUNS = """
pared=wall|walls  radiografi_torax=chest radiograph  telerradiografi_do_torax=chest radiograph
telerradiografi_de_torax=chest radiograph  configuracao=configuration  rolhao=plug  topo=tip
monitorizacao=monitoring  situacao=position  relacao_cardiotoracic=cardiothoracic ratio
decubit_dorsal=supine position  decubit=decubitus  membr=limb|limbs  hemodialis=hemodialysis
revascularizacao_miocardic=coronary bypass surgery|coronary bypass surgery
revascularizacao=revascularization
pos-operatori_de=postoperative state after|postoperative state after
status_pos-operatori=postoperative state|postoperative state  flux=flow|flow
paquipleuris=pleural thickening  paquipleurit=pleural thickening  cisurit=fissure thickening
eventracao=eventration  distensao=distension  drenagem=drainage  reexpansao=reexpansion
desenh_vascular=vascular pattern  desenho=pattern  reticul=markings|markings  eix=axis|axes
criteri=criterion|criteria  tomografi=tomography|tomography
tomografi_computadorizad=computed tomography  tc=CT|CT  pedicul=pedicle  raiz=root|roots
artroplasti=arthroplasty  hematom=hematoma  contusao=contusion  aspiracao=aspiration
embolia=embolism  sarcoidos=sarcoidosis|sarcoidosis  silicos=silicosis|silicosis
pneumoconios=pneumoconiosis|pneumoconiosis  covid-19=COVID-19  pneumonit=pneumonitis|pneumonitis
bronquit=bronchitis|bronchitis  asm=asthma|asthma  linfangit=lymphangitis|lymphangitis
carcinomatos=carcinomatosis|carcinomatosis  implant=implant  projetil=bullet  agulh=needle
bateri=battery  bomb=pump  imagem_de_adicao=additional image  falha=defect  erosao=erosion
luxacao=dislocation  subluxacao=subluxation  esclerose=sclerosis|sclerosis
hiperostos=hyperostosis|hyperostosis  hemangiom=hemangioma  lipom=lipoma  timom=thymoma  tim=thymus
higrom=hygroma  espondiloartros=spondyloarthrosis|spondyloarthrosis
discopati=disc disease|disc disease  acentuacao_de=accentuation of  ventilacao=ventilation
aeracao=aeration|aeration  apagament_do_sei=blunting of the angle
condensacao_pneumonic=pneumonic consolidation  radiografi_de_torax=chest radiograph
radiografi_do_torax=chest radiograph  rx_de_torax=chest radiograph  rx_do_torax=chest radiograph
perfil=lateral view  fio_de_sutur_esternal=sternal wire
fio_metalic_de_esternotomi=metallic sternotomy wire  fio_de_esternotomi=sternotomy wire
fio_metalic_de_sutur_esternal=metallic sternal wire  sutur_metalic_esternal=sternal wire
fio_de_aco=steel wire  fio_de_esternorrafi=sternotomy wire  dad=data|data  tract=tract  trat=tract
lumen=lumen|lumens  status=status|status  evolucao=evolution  intervencao=intervention
pos-operatori=postoperative state|postoperative state  colecao=collection  abaulament=bulging
rotacao=rotation  rodacao=rotation  hipocratism=clubbing  derram=effusion
pneumotorax=pneumothorax|pneumothorax  hidropneumotorax=hydropneumothorax  hemotorax=hemothorax
pneumomediastin=pneumomediastinum  pneumoperitoni=pneumoperitoneum  pneumoperitone=pneumoperitoneum
empiem=empyema  cardiomegali=cardiomegaly  atelectasi=atelectasis|atelectasis
atelectas=atelectasis|atelectasis  pneumoni=pneumonia|pneumonia  broncopneumoni=bronchopneumonia
consolidacao=consolidation  condensacao=consolidation  infiltrad=infiltrate|infiltrates
infiltracao=infiltration  opacidad=opacity  hipotransparenci=opacity
hipertransparenci=hyperlucency  hiperluceni=hyperlucency  hipertransluceni=hyperlucency
transparenci=lucency|lucency  nodul=nodule  micronodul=micronodule  massa=mass  lesao=lesion
densidad=density  densificacao=opacity  velament=opacification  velad=opacification
edem=edema|edema  enfisem=emphysema|emphysema  fibrose=fibrosis|fibrosis  fratur=fracture
fractur=fracture  calcificacao=calcification  granulom=granuloma
adenomegali=lymphadenopathy|lymphadenopathy  linfonodomegali=lymphadenopathy|lymphadenopathy
linfadenopati=lymphadenopathy|lymphadenopathy  adenopati=lymphadenopathy|lymphadenopathy
linfonod=lymph node  ganglio=lymph node  bronquiectasi=bronchiectasis|bronchiectasis
cavitacao=cavitation  cavidad=cavity  escavacao=cavitation  caverna=cavity  herni=hernia
herni_hiatal=hiatal hernia  herni_de_hiat=hiatal hernia  herni_do_hiat=hiatal hernia
escolios=scoliosis|scoliosis  cifos=kyphosis|kyphosis  cifoescolios=kyphoscoliosis|kyphoscoliosis
osteopeni=osteopenia  osteoporos=osteoporosis  desmineralizacao=demineralization
osteofit=osteophyte|osteophytes  espondilos=spondylosis|spondylosis  artros=arthrosis|arthrosis
alongament=elongation  ateromatose=atheromatosis|atheromatosis  ateromatosi=atheromatosis
aterom=atheroma  ateroscleros=atherosclerosis|atherosclerosis  ectasi=ectasia
tortuosidad=tortuosity  congestao=congestion|congestion  cefalizacao=cephalization
redistribuicao=redistribution  espessament=thickening  apagament=blunting  borrament=blurring
obliteracao=obliteration  elevacao=elevation  retificacao=flattening  rectificacao=flattening
aplanament=flattening  hiperinsuflacao=hyperinflation  hiperexpansao=hyperinflation
hiperaeracao=hyperinflation  hipoexpansao=hypoexpansion  hipoventilacao=hypoventilation
hipoinsuflacao=hypoinflation  expansao=expansion  aprisionament_aere=air trapping
insuficienci_cardiac=heart failure  hipertensao_pulmonar=pulmonary hypertension
hipertensao=hypertension  padrao=pattern  broncogram_aere=air bronchogram
aerobroncogram=air bronchogram  broncogram=bronchogram  vidr_fosc=ground glass
vidr_despolid=ground glass  reticulacao=reticulation  reticulad=reticulation
tuberculose=tuberculosis  tb=tuberculosis  dpoc=COPD  metastas=metastasis|metastases
neoplasi=neoplasm  tumor=tumor  cist=cyst  quist=cyst  bolh=bulla|bullae  bulh=bulla|bullae
absces=abscess  aneurism=aneurysm  dilatacao=dilatation  alargament=widening  desvi=deviation
deslocament=displacement  retracao=retraction  retraccao=retraction  perda_de_volum=volume loss
perda_volumetric=volume loss  reducao_volumetric=volume loss  reducao_de_volum=volume loss
reducao_do_volum=volume loss  reducao=decrease|decrease  diminuicao=decrease|decrease
aument=increase  acentuacao=accentuation  reforc=accentuation  proeminenci=prominence
compressao=compression  acunhament=wedging  colaps=collapse  achatament=wedging
cal_oss=callus|callus  alteracao=abnormality|abnormalities
alteracao_degenerativ=degenerative change|degenerative changes
modificacao_degenerativ=degenerative change|degenerative changes
alteracao_evolutiv=interval change|interval changes  modificacao=change|changes
mudanca=change|changes  alteracao_significativ_em_relacao_ao=significant change compared to
anormalidad=abnormality|abnormalities  anomali=abnormality|abnormalities  achad=finding|findings
sinal=sign|signs  imagem=image  evidenci=evidence|evidence  indici=sign|signs
linh_de_kerley=Kerley line|Kerley lines  linh_b_de_kerley=Kerley B line|Kerley B lines
linh_a_de_kerley=Kerley A line|Kerley A lines  linh=line  septo=septum|septa  band=band  banda=band
faix=band  estri=band  trav=band  trav_fibros=fibrous band  sequel=sequela|sequelae
process=process  doenc=disease  patologi=abnormality|abnormalities  boci=goiter
plac=plaque|plaques  foc=focus|foci  area=area  marca-pass=pacemaker|pacemaker
marcapass=pacemaker|pacemaker  marca_pass=pacemaker|pacemaker  pacemaker=pacemaker
desfibrilador=defibrillator  cdi=defibrillator  gerador=generator  cateter=catheter
port-a-cath=Port-a-Cath  port_a_cath=Port-a-Cath  picc=PICC  reservatori=port  tub=tube  sond=tube
dren=drain  dreno=drain  dren_toracic=chest tube  dren_de_torax=chest tube
dren_pleural=pleural drain  eletrod=lead|leads  electrod=lead|leads  cab=lead|leads  canul=cannula
canul_de_traqueostomi=tracheostomy tube  traqueostomi=tracheostomy  protes=prosthesis|prostheses
stent=stent  endoprotes=stent graft  clip=clip|clips  clipe=clip|clips  gramp=staple|staples
sutur=suture|sutures  fio=wire|wires  cerclagem=wire|wires  esternotomi=sternotomy
esternorrafi=sternotomy  material=material|material
material_de_osteossintes=osteosynthesis material  osteossintes=osteosynthesis  haste=rod
parafus=screw|screws  dispositiv=device|devices  corp_estranh=foreign body|foreign bodies
objet=object|objects  objecto=object|objects  artefat=artifact|artifacts
artefact=artifact|artifacts  valvul=valve  valva=valve  cirurgi=surgery|surgery
mastectomi=mastectomy|mastectomy  lobectomi=lobectomy  pneumectomi=pneumonectomy
pneumonectomi=pneumonectomy  toracotomi=thoracotomy  radiografi=radiograph  rx=radiograph
raio-x=radiograph  raios-x=radiograph  telerradiografi=radiograph  exam=study  estud=study
control=follow-up  controle=follow-up  incidenci=projection  projecao=projection
projeccao=projection  torax=chest  pacient=patient  doent=patient  febr=fever  toss=cough
dispnei=dyspnea  dor=pain  volum=volume  tamanh=size  dimensao=dimension|dimensions
diametr=diameter  espessur=thickness  calibr=caliber  morfologi=morphology
contorn=contour|contours  limit=limit|limits  marg=margin|margins  margem=margin|margins
topografi=region  indic_cardiotoracic=cardiothoracic ratio  ict=cardiothoracic ratio
vascularizacao=vascularity|vascularity  vascularidad=vascularity|vascularity
trama=markings|markings  circulacao=circulation  inspiracao=inspiration  inspirad=inspired  ar=air
gas=gas  liquid=fluid|fluid  nivel=level|levels  nivel_hidroaere=air-fluid level|air-fluid levels
extremidad=tip  ponta=tip  trajet=course  traject=course  posicao=position  localizacao=location
tip=type  grau=degree  duvida=doubt  suspeit=suspicion  presenc=presence  ausenci=absence
restant=remainder  dia=day|days  opacificacao=opacification  mamil=nipple  quantidad=amount
convexidad=convexity  aspect=appearance  aspet=appearance  predomini=predominance  natureza=nature
etiologi=etiology  origem=origin  fase=phase  normalidad=normal  atividad=activity
actividad=activity  hipotes=hypothesis|hypotheses  correlacao=correlation
particularidad=abnormality|abnormalities  lesion=lesion  exsudad=exudate
secrecao=secretion|secretions  sobrecarg=overload  estas=stasis|stasis  transicao=junction
confluenci=confluence  surgiment=appearance  aparecimento=appearance  aparecimento_de=appearance of
resolucao=resolution  regressao=regression  progressao=progression  melhor=improvement
melhori=improvement  pior=worsening  agravament=worsening  estabilidad=stability
sobreposicao=superimposition  peca=piece
"""

PLACES = """
alc=loop  alc_intestinal=bowel loop  alc_intestinais=bowel loop  colon=colon  figad=liver
bac=spleen  rim=kidney  ilh=islet  crur=crus  laring=larynx  tireoid=thyroid  tiroid=thyroid
bronqui_principal=main bronchus|main bronchi  bronqui_font=main bronchus|main bronchi
manubri=manubrium  acromi=acromion  glenoid=glenoid  pericardi=pericardium  jugul=jugular vein
braquiocefalic=brachiocephalic vein  janel_aortopulmonar=aortopulmonary window
arc_medi_da_arteri_pulmonar=pulmonary artery segment  lob_medi_direit=right middle lobe
volum_cardiac=cardiac silhouette  dimensao_cardiac=cardiac silhouette  camar=chamber
cavidad_cardiac=cardiac chamber
sei_costofrenic_e_cardiofrenic=costophrenic and cardiophrenic angle  leit=bedside
contorn_cardiac=cardiac contour  sel_turcic=sella turcica  area_cardiac=cardiac silhouette
imagem_cardiac=cardiac silhouette  silhuet=silhouette  silhuet_cardiac=cardiac silhouette
silhuet_cardiomediastin=cardiomediastinal silhouette  sombra_cardiac=cardiac silhouette
sombr=shadow  vei_cav_superior=superior vena cava  vei_cav_inferior=inferior vena cava
cav_superior=superior vena cava  juncao_cavoatrial=cavoatrial junction
juncao_cavo-atrial=cavoatrial junction  juncao=junction  pulmao=lung|lungs  parenquim=parenchyma
parenquim_pulmonar=lung parenchyma  lobo=lobe  bas=base|bases  apic=apex|apices  apex=apex|apices
vertic=apex|apices  hilo=hilum|hila  mediastin=mediastinum  corac=heart  coracao=heart  aort=aorta
botao=knob  croc=arch  cross=arch  arc_aortic=aortic arch  arc=arch|arches  arc_costal=rib|ribs
costel=rib|ribs  gradil_costal=rib cage  gradead_costal=rib cage  grelh_costal=rib cage
clavicul=clavicle  escapul=scapula  omoplat=scapula  umer=humerus  colun=spine
colun_vertebral=spine  raquis=spine  vertebr=vertebra|vertebrae
corp_vertebral=vertebral body|vertebral bodies  diafragm=diaphragm  hemidiafragm=hemidiaphragm
cupul=dome|domes  cupul_diafragmatic=diaphragmatic dome|diaphragmatic domes
hemicupul=hemidiaphragm  hemicupul_diafragmatic=hemidiaphragm  hemicupul_frenic=hemidiaphragm
sei_costofrenic=costophrenic angle|costophrenic angles
seio_costo-frenic=costophrenic angle|costophrenic angles
reces_costofrenic=costophrenic angle|costophrenic angles
angul_costofrenic=costophrenic angle|costophrenic angles
angul_costo-frenic=costophrenic angle|costophrenic angles
fundo_de_saco_costofrenic=costophrenic angle|costophrenic angles
sei_cardiofrenic=cardiophrenic angle|cardiophrenic angles
angul_cardiofrenic=cardiophrenic angle|cardiophrenic angles  sei=sinus|sinuses
reces=recess|recesses  cissur=fissure  fissur=fissure  pleur=pleura
espac_pleural=pleural space|pleural spaces  cavidad_pleural=pleural cavity|pleural cavities
hemitorax=hemithorax|hemithoraces  htd=right hemithorax  hte=left hemithorax  camp=field|fields
camp_pulmonar=lung field|lung fields  zon=zone|zones  regiao=region  lingul=lingula
segment=segment|segments  traquei=trachea  carin=carina  bronqui=bronchus|bronchi
ventricul=ventricle  atri=atrium|atria  auricul=atrium|atria  vei=vein
vei_subclavi=subclavian vein  subclavi=subclavian vein  vei_jugular=jugular vein  arteri=artery
tronc_da_arteri_pulmonar=pulmonary artery trunk  tronc=trunk  arc_medi=middle arch
vas=vessel|vessels  estomag=stomach  camar_gastric=gastric bubble  bolh_gastric=gastric bubble
esofag=esophagus  pescoc=neck  parte_mol=soft tissue|soft tissues
tecid_mol=soft tissue|soft tissues  oss=bone|bones  osso=bone|bones
arcabouc_osse=bony structure|bony structures  estrutur=structure|structures
quadr_osse=bony structure|bony structures  esquelet=skeleton  lad=side  metad=half  terc=third
abdom=abdomen  abdomen=abdomen  ombr=shoulder  espac=space  mam=breast|breasts  estern=sternum
caix_toracic=rib cage  pared_toracic=chest wall  axil=axilla|axillae  gorduras=fat
interstici=interstitium  periferia=periphery  lsd=right upper lobe  lse=left upper lobe
lid=right lower lobe  lie=left lower lobe  lm=middle lobe  lob_medi=middle lobe
epigastr=epigastrium  hipocondri=hypochondrium
"""
