"""Radiology Portuguese for the offline rules: Brazil's words and spelling, and Portugal's.

Stems are written without endings of gender and number; a stem in ``-al``, ``-el``, ``-ao`` or
``-em`` has its plural by rule (``lesao``, ``lesoes``). Accents may be missing: all is compared
without them.
"""

from __future__ import annotations

import re

from tasks.reports.offline_lexicon import Lexicon

NOUNS = """
radiografi_de_torax=chest radiograph  radiografi_do_torax=chest radiograph
rx_de_torax=chest radiograph  rx_do_torax=chest radiograph  perfil=lateral view
fio_de_sutur_esternal=sternal wire  fio_metalic_de_esternotomi=metallic sternotomy wire
fio_de_esternotomi=sternotomy wire  fio_metalic_de_sutur_esternal=metallic sternal wire
sutur_metalic_esternal=sternal wire  fio_de_aco=steel wire  fio_de_esternorrafi=sternotomy wire
dad=data|data  tract=tract  trat=tract  lumen=lumen|lumens  status=status|status
evolucao=evolution  intervencao=intervention  pos-operatori=postoperative state  colecao=collection
abaulament=bulging  rotacao=rotation  rodacao=rotation  hipocratism=clubbing  derram=effusion
pneumotorax=pneumothorax|pneumothorax  hidropneumotorax=hydropneumothorax  hemotorax=hemothorax
pneumomediastin=pneumomediastinum  pneumoperitoni=pneumoperitoneum  pneumoperitone=pneumoperitoneum
empiem=empyema  cardiomegali=cardiomegaly  atelectasi=atelectasis|atelectasis
atelectas=atelectasis|atelectasis  pneumoni=pneumonia|pneumonia  broncopneumoni=bronchopneumonia
consolidacao=consolidation  condensacao=consolidation  infiltrad=infiltrate|infiltrates
infiltracao=infiltration  opacidad=opacity  hipotransparenci=opacity
hipertransparenci=hyperlucency  hiperluceni=hyperlucency  hipertransluceni=hyperlucency
transparenci=lucency|lucency  nodul=nodule  micronodul=micronodule  massa=mass  lesao=lesion
densidad=density  densificacao=opacity  velament=opacification  velad=opacification
edem=edema|edema  enfisem=emphysema|emphysema  fibros=fibrosis|fibrosis  fratur=fracture
fractur=fracture  calcificacao=calcification  granulom=granuloma
adenomegali=lymphadenopathy|lymphadenopathy  linfonodomegali=lymphadenopathy|lymphadenopathy
linfadenopati=lymphadenopathy|lymphadenopathy  adenopati=lymphadenopathy|lymphadenopathy
linfonod=lymph node  ganglio=lymph node  bronquiectasi=bronchiectasis|bronchiectasis
cavitacao=cavitation  cavidad=cavity  escavacao=cavitation  caverna=cavity  herni=hernia
herni_hiatal=hiatal hernia  herni_de_hiat=hiatal hernia  herni_do_hiat=hiatal hernia
escolios=scoliosis|scoliosis  cifos=kyphosis|kyphosis  cifoescolios=kyphoscoliosis|kyphoscoliosis
osteopeni=osteopenia  osteoporos=osteoporosis  desmineralizacao=demineralization
osteofit=osteophyte|osteophytes  espondilos=spondylosis|spondylosis  artros=arthrosis|arthrosis
alongament=elongation  ateromatos=atheromatosis|atheromatosis  ateromatosi=atheromatosis
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
tuberculos=tuberculosis  tb=tuberculosis  dpoc=COPD  metastas=metastasis|metastases
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
caix_toracic=rib cage  pared_toracic=chest wall  pared=wall|walls  axil=axilla|axillae
gorduras=fat  interstici=interstitium  periferia=periphery  lsd=right upper lobe
lse=left upper lobe  lid=right lower lobe  lie=left lower lobe  lm=middle lobe
lob_medi=middle lobe  epigastr=epigastrium  hipocondri=hypochondrium
"""

ADJECTIVES = """
indiret=indirect  diret=direct  em_as_de_borbolet=butterfly  de_dupl_lumen=double-lumen
alinhad=aligned  marginal=marginal  dextroconvex=dextroconvex  sinistroconvex=levoconvex
ipsilateral=ipsilateral  parietal=parietal  pos-esternotomi=post-sternotomy  mediana=median
escavad=cavitated  em_evolucao=evolving  valorizavel=significant  clinic=clinical
cardiofrenic=cardiophrenic  costofrenic=costophrenic  vasobronquic=bronchovascular
em_atividad=active  em_actividad=active  rodad=rotated  simetric=symmetric  assimetric=asymmetric
superposicionad=superimposed  sobrepost=superimposed  abaulad=bulging  seguiment=segmental
supraclavicular=supraclavicular  em_vidr_fosc=ground-glass  em_vidr_despolid=ground-glass
tip_vidr_fosc=ground-glass  visivel=visible  perihilar=perihilar  peri-hilar=perihilar
para-hilar=parahilar  parahilar=parahilar  peribronquic=peribronchial  redond=round
arredondad=rounded  oval=oval  ovalad=oval  estranh=foreign  projetad=projecting  metalic=metallic
pleural=pleural  cardiac=cardiac  aortic=aortic  mediastinal=mediastinal  mediastinic=mediastinal
hilar=hilar  basal=basal  bibasal=bibasal  bibasilar=bibasal  apical=apical  biapical=biapical
superior=upper  inferior=lower  medi=middle  central=central  periferic=peripheral
posterior=posterior  anterior=anterior  lateral=lateral  intersticial=interstitial
alveolar=alveolar  acinar=acinar  reticular=reticular  reticulonodular=reticulonodular
reticulo-nodular=reticulonodular  reticulogranular=reticulogranular  nodular=nodular
micronodular=micronodular  miliar=miliary  laminar=laminar  linear=linear  segmentar=segmental
lobar=lobar  basilar=basilar  retrocardiac=retrocardiac  subsegmentar=subsegmental
parenquimatos=parenchymal  parenquimal=parenchymal  calcificad=calcified  calcic=calcified
degenerativ=degenerative  dorsal=thoracic  lombar=lumbar  cervical=cervical  vertebral=vertebral
costal=costal  osse=bony  vascular=vascular  venos=venous  arterial=arterial  pulmonar=pulmonary
broncovascular=bronchovascular  bronco-vascular=bronchovascular  bronquic=bronchial  hiatal=hiatal
ateromatos_adj=atheromatous  alongad=elongated  ectasiad=ectatic  ectasic=ectatic  tortuos=tortuous
dilatad=dilated  cronic=chronic  agud=acute  antig=old  residual=residual  sequelar=residual
inflamatori=inflammatory  infeccios=infectious  infecios=infectious  metastatic=metastatic
tumoral=neoplastic  neoplasic=neoplastic  cirurgic=surgical  endotraqueal=endotracheal
orotraqueal=endotracheal  nasogastric=nasogastric  nasoenteral=nasoenteric  nasoenteric=nasoenteric
orogastric=orogastric  toracic=thoracic  jugular=jugular  mitral=mitral  valvar=valvular
valvular=valvular  bicameral=dual chamber  unicameral=single chamber  radiologic=radiological
radiografic=radiographic  patologic=pathological  relevant=relevant  digno_de_not=notable
dign_de_not=notable  focal=focal  difus=diffuse  local=local  loculad=loculated  septad=septated
encistad=loculated  homogene=homogeneous  heterogene=heterogeneous  espars=scattered
confluent=confluent  bem_definid=well-defined  mal_definid=ill-defined  bem_delimitad=well-defined
mal_delimitad=ill-defined  regular=regular  irregular=irregular  espiculad=spiculated  livr=clear
limp=clear  desimpedid=clear  normal=normal  habitual=usual  anatomic=normal
normotransparent=normally aerated  integr=intact  preservad=preserved  conservad=preserved
adequad=adequate  normoposicionad=well-positioned  bem_posicionad=well-positioned
bem_expandid=well expanded  expandid=expanded  centrad=midline  centralizad=midline  pervi=patent
aumentad=increased  reduzid=decreased  diminuid=decreased  acentuad_adj=accentuated
proeminent=prominent  ingurgitad=engorged  congest=congested  congestiv=congestive
hipertensiv=tension  espessad=thickened  alargad=widened  elevad=elevated  retificad=flattened
rectificad=flattened  aplanad=flattened  borrad=blurred  desviad=deviated  deslocad=displaced
aere=aerated  aerad=aerated  gastric=gastric  diafragmatic=diaphragmatic  frenic=diaphragmatic
subcutane=subcutaneous  cardiovascular=cardiovascular  cardiopulmonar=cardiopulmonary
pleuropulmonar=pleuropulmonary  pleuro-pulmonar=pleuropulmonary
pleuroparenquimatos=pleuroparenchymal  tuberculos_adj=tuberculous  fibros_adj=fibrous
fibrotic=fibrotic  fibroatelectasic=fibroatelectatic  fibrocicatricial=fibrotic
fibroreticular=fibroreticular  atelectasic=atelectatic  cicatricial=scar-like  portatil=portable
distal=distal  proximal=proximal  mediano=median  maior=larger  menor=smaller  unic=single
semelhant=similar  similar=similar  sobreponivel=comparable  estavel=stable  inalterad=unchanged
mantid=unchanged  previ=previous  anterior_exam=previous  nov=new  recent=recent  axial=axial
tecnic=technical  avaliavel=assessable  cardiomediastin=cardiomediastinal
cardiomediastinic=cardiomediastinal  contralateral=contralateral  global=global  peitoral=pectoral
complet=complete  parcial=partial  total=total  pneumonic=pneumonic  consolidativ=consolidative
enfisematos=emphysematous  bolhos=bullous  suspeit_adj=suspicious  activ=active  ativ=active
evolutiv=evolving  retroesternal=retrosternal  retrosternal=retrosternal  horizontal=horizontal
obliqu=oblique  transvers=transverse  longitudinal=longitudinal  hiperinsuflad=hyperinflated
hiperexpandid=hyperinflated  hipoexpandid=hypoinflated  hipoinsuflad=hypoinflated
insuflad=inflated  consolidad=healed  descendent=descending  ascendent=ascending
subpleural=subpleural  infra-hilar=infrahilar  infrahilar=infrahilar  supra-hilar=suprahilar
suprahilar=suprahilar  inespecific=nonspecific  sugestiv=suggestive  indeterminad=indeterminate
resolvid=resolved  sintes=synthetic  intact=intact  delgad=thin  grosseir=coarse  finos=fine
bifid=bifid  difusament=diffuse  densa=dense  denso=dense  metastatiz=metastatic  esternal=sternal
mamari=mammary  implantad=implanted  opac=opaque  radiopac=radiopaque  implantavel=implantable
epicardic=epicardial  paravertebral=paravertebral  paratraqueal=paratracheal  subcarinal=subcarinal
diagnostic=diagnostic
"""

GRADES = """
pequen=small  lev=mild  discret=slight  ligeir=slight  minim=minimal  tenu=faint  moderad=moderate
important=marked  marcad=marked  acentuad=marked  sever=severe  grav=severe  grand=large
volumos=large  extens=extensive  macic=massive  significativ=significant  dois=two  duas=two
tres=three  quatr=four  cinc=five  vari=several  multipl=multiple  numeros=numerous
inumer=innumerable  algum=some  alguns=some  algumas=some  outr=other  amb=both  ambos=both
ambas=both  possivel=possible  provavel=probable  duvidos=questionable  questionavel=questionable
eventual=possible  evident=evident  incipient=incipient  primeir=first  segund=second
terceir=third  quart=fourth  quint=fifth  sext=sixth  setim=seventh  oitav=eighth  non=ninth
decim=tenth  demais=remaining  restantes=remaining  apenas=only
"""

SIDES = """
esquerd=left  esq=left  direit=right  dir=right  dto=right  dta=right  bilateral=bilateral
bilateralment=bilateral
"""

RELATIONS = """
numa_da=in one of  num_do=in one of  numa_das=in one of  num_dos=in one of  uma_das=one of
um_dos=one of  suspeito_de=suspicious for  suspeitas_de=suspicious for
no_limit_superior_da_normalidad=at the upper limit of normal  no_leit=at the bedside
podend_traduz=which may represent  pod_traduz=may represent
podend_relacion_se_com=possibly related to  traduzind=representing  correlacion=correlate
convem=advise  atras=ago  ha_aproximadament=for about  aconselh=advise  recomend=recommend
sugere_se=suggest  de=of  do=of  da=of  dos=of  das=of  dum=of  duma=of  deste=of  desta=of  em=in
no=in  na=in  nos=in  nas=in  num=in  numa=in  neste=in this  nesta=in this  ao=to  aos=to
com=with  por=by  pel=by  pelo=by  pela=by  a_=at  pelos=by  pelas=by  sobre=over  para=toward
desde=from  ate=to  sob=under  entre=between  apos=after  segundo_a=according to
conforme=according to  ao_redor=around  em_torn_de=around  ao_esquerd=on the left
ao_direit=on the right  a_esquerd=on the left  a_direit=on the right  para_a_direit=to the right
para_a_esquerd=to the left  do_lad_direit=on the right  do_lad_esquerd=on the left
compativel_com=compatible with  consistent_com=consistent with  sugestiv_de=suggestive of
sugerind=suggesting  suger=suggests  sugere=suggests  sugerem=suggest  em_relacao_com=related to
relacionad_com=related to  relacionad_ao=related to  relacionad=related to
em_relacao_ao=compared to  relativament_ao=compared to  comparativament_ao=compared to
comparativament_com=compared to  comparad_ao=compared to  comparad_com=compared to
em_comparacao_com=compared to  em_comparacao_ao=compared to  acima_da=above  acima_do=above
acima_de=above  abaixo_da=below  abaixo_do=below  abaixo_de=below  ao_nivel_de=at the level of
ao_nivel_do=at the level of  ao_nivel_da=at the level of  em_nivel_de=at the level of
na_altura_da=at the level of  na_altura_do=at the level of  secundari_ao=secondary to
secundari_a=secondary to  associad_ao=associated with  associad_a=associated with
associad_com=associated with  associad=associated  decorrent_de=due to  devid_ao=due to
a_esclarec=to be clarified:  a_valoriz=to be assessed:  e=and  ou=or  nem=or  mas=but  porem=but
embora=although  que=which  como=as  entretant=however  contud=however  no_entant=however  e_=is
sao=are  esta=is  estao=are  ha=there is  houve=there was  existe=there is  existem=there are
apresent=shows  mostr=shows  demonstr=shows  evidenciand=showing  persist=persistent
permanec=remains  mantem=remains  mantem-se=remains  mantem_se=remains  mant_se=remains
impressao=impression  provavelment=probably  possivelment=possibly  tambem=also  ja=already
alem_de=besides  alem_disso=also  mais=more  menos=less  muit=very  pouco=somewhat
atualment=currently  actualment=currently  actual=current  atual=current  por_via=via  via=via
de_predomini=predominantly  com_predomini=predominantly  predominand=predominating
predominantement=predominantly  predominant=predominantly  aumentou=has increased
aumentaram=have increased  diminuiu=has decreased  diminuiram=have decreased  reduziu=has decreased
surgiu=has appeared  surgiram=have appeared  resolveu=has resolved  regrediu=has regressed
desapareceu=has resolved  previament=previously  anteriorment=previously  posteriorment=posteriorly
medind=measuring  milimetr=mm  mm=mm  cm=cm  centimetr=cm  com_cerca_de=of about  cerca_de=about
aproximadament=approximately  projetand_se=projecting  projet_se=projecting  projectad=projecting
localizad=located  situad=located  sugestao=suggestion
podend_correspond_ao=which may correspond to  podend_correspond=which may correspond to
pod_correspond_ao=may correspond to  podem_correspond_ao=may correspond to
podend_representar=which may represent  pode_representar=may represent
podem_representar=may represent  podend_estar=which may be  provavelment_de=probably of
dentr_dos_limites_da_normalidad=within normal limits
nos_limites_da_normalidad=within normal limits  dentr_da_normalidad=within normal limits
dentr_dos=within  dentr_do=within  dentr_de=within  em_contat_com=in contact with  junt_ao=next to
adjacent_ao=adjacent to  adjacent=adjacent  acompanhad_de=accompanied by
acompanhad_por=accompanied by  ocupand=occupying  acometend=involving  compromet=involving
comprometend=involving  envolvend=involving  determinand=causing  condicionand=causing
causand=causing  obliterand=obliterating  nao_descart=cannot exclude  nao_se_descart=cannot exclude
nao_se_pod_descart=cannot exclude  nao_se_pod_exclu=cannot exclude
nao_se_podend_descart=cannot exclude  nao_se_podend_exclu=cannot exclude
nao_se_exclu=cannot exclude  nao_pod_ser_descartad=cannot exclude
nao_e_possivel_descart=cannot exclude  nao_e_possivel_exclu=cannot exclude
nao_exclu=cannot exclude  sem_exclu=cannot exclude  com_aspecto_de=with the appearance of
de_permei=with intervening
"""

DENIALS = """
sem=no  nao=not  sem_evidenci_de=no evidence of  sem_evidencia=no evidence of
sem_evident=no evident  sem_sinal_de=no signs of  sem_sinal_sugestiv_de=no signs suggestive of
sem_indici_de=no signs of  nao_se_observ=no  nao_se_not=no  nao_se_visualiz=no  nao_se_identific=no
nao_se_evidenci=no  nao_se_caracteriz=no  nao_se_detect=no  nao_se_defin=no  nao_se_demonstr=no
nao_se_reconhec=no  nao_se_individualiz=no  nao_se_apresent=no  nao_se_ve=no  nao_se_veem=no
nao_se_apreci=no  nao_se_encontr=no  nao_se_verific=no  nao_observ=no  nao_visualiz=no
nao_identific=no  nao_evidenci=no  nao_caracteriz=no  nao_detect=no  nao_ha=no  nao_exist=no
nao_apresent=no  nao_mostr=no  nao_demonstr=no  nao_parec=no apparent  nao_for_observad=no
nao_foram_observad=no  nao_foi_observad=no  nao_foram_identificad=no  nao_foi_identificad=no
nao_foram_visualizad=no  nao_foi_visualizad=no  nao_foram_evidenciad=no  nao_foi_evidenciad=no
nao_foram_caracterizad=no  nao_sao_observad=no  nao_sao_identificad=no  nao_sao_visivel=no
nao_sao_evident=no  nao_e_observad=no  nao_e_identificad=no  nao_e_visivel=no
nao_ha_evidenci_de=no evidence of  nao_ha_sinal_de=no signs of  nao_ha_indici_de=no signs of
nao_se_observ_sinal_de=no signs of  nao_se_identific_sinal_de=no signs of  ausenci_de=absence of
ausenci_da=absence of  ausenci_do=absence of  ausent=absent
"""

SILENT = """
portador_de portador_da se o a os as um uma uns umas seu sua seus suas foi foram sido sendo ser
cujo cuja se_observ observ_se not_se se_not visualiz_se se_visualiz identific_se se_identific
evidenci_se se_evidenci ver_se verific_se se_verific apreci_se se_apreci caracteriz_se
se_caracteriz observ observad visualiz visualizad identific identificad evidenciad apreciad
caracterizad detectad notad observand_se notand_se visualizand_se identificand_se apresent_se
apresentam_se encontr_se encontram_se encontra_se mostra_se mostram_se
"""

_ENDINGS = re.compile(
    r"(?:[aeio]|[aeo]s|s|a[om]|aos|aes|[aei]m|[ai]d[ao]s?|[ai]nd[ao]s?|ant?es?|i[ao]s?|i[ao]is|is"
    r"|oes|ic[ao]s?|[ao]l|ais|ar|ares|er|ir|or|ores|iv[ao]s?|os[ao]s?|mente|ment[eo]s?|nt[eo]s?"
    r"|e[ao]s?|ou|aram|eu|eram|iu|iram|ula)?"
)
"""What may follow a stem: endings of gender, number, person and participle, and ``-mente``."""

PORTUGUESE = Lexicon(
    "pt",
    {
        "X": SILENT, "R": RELATIONS, "D": DENIALS, "Q": GRADES, "S": SIDES, "A": ADJECTIVES,
        "N": NOUNS, "L": PLACES,
    },
    _ENDINGS,
    plurals=(("al", "ais"), ("el", "eis"), ("il", "is"), ("ao", "oes"), ("em", "ens")),
    spellings=(
        (re.compile(r"(?<=\w)-se\b"), " se"),
        (re.compile(r"\b[àÀ](?=s?\b)"), "ao"),
        (re.compile(r"\b[aA](?= (?:cerca de |aproximadamente )?\d)"), "a_"),
        (re.compile(r"\b[éÉ]\b"), "e_"),
        (re.compile(r"(?<=[a-zà-ú]) D(?=[ ,.;)]|$)"), " direito"),
        (re.compile(r"(?<=[a-zà-ú]) E(?=[,.;)]|$)"), " esquerdo"),
    ),
)  # fmt: skip
"""``-se`` is told from the verb, the preposition ``à`` from the article ``a``, ``é`` (is) from
``e`` (and), and a side's letter from a word."""
